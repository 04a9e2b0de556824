"""The table of instruments as StatsD: measured (`sources`), each second (`sender`) written (`lines`) and sent.

`output` packs lines or tells the user's own client; `clients` are the ways to an agent. `wiring` puts them together.
"""

"""Other people's servers, started by the commands of docs/servers.md, in front of an instrumented app."""

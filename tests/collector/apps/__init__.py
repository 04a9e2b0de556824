"""The programs that the collector's tests run, as a user would write them: each ends by printing `report()`."""

# Each target is one line of Python: `python3 -m tools VERB` does the same without make.
PYTHON ?= python3
SECONDS :=
MODE :=
TESTS :=

.PHONY: help demo test check bench native collector backends full docs clean
help:
	@$(PYTHON) -m tools help
demo:
	@$(PYTHON) -m tools demo $(SECONDS)
test:
	@$(PYTHON) -m tools test $(TESTS)
check:
	@$(PYTHON) -m tools check
bench:
	@$(PYTHON) -m tools bench
native:
	@$(PYTHON) -m tools native $(MODE)
collector:
	@$(PYTHON) -m tools collector
backends:
	@$(PYTHON) -m tools backends
full:
	@$(PYTHON) -m tools full
docs:
	@$(PYTHON) -m tools docs
clean:
	@$(PYTHON) -m tools clean

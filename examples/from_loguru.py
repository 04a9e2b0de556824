"""The move from loguru: one import. python examples/from_loguru.py"""

import sys

import otelbridge
from otelbridge import logger  # was: from loguru import logger

logger.remove()
logger.add(sys.stdout, format="{level} {message} {extra}", level="INFO")


@logger.catch
def pay(total: float) -> None:
    logger.bind(total=total).info("Paying {:.2f} euros", total)
    raise TimeoutError("the bank does not answer")


if __name__ == "__main__":
    otelbridge.configure(service_name="shop")  # this line is new: from here on everything goes to a collector, too
    pay(12.5)

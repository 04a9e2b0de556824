"""The door of the workshop: finds a fit Python, then hands over to `tools.verbs`.

Must parse and run on any Python 3, so that an old one can say what it lacks. Leaves all work to others.
"""

import os
import shutil
import subprocess
import sys

VERSION_MIN = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11", "python3", "python")
# Exits 0 only where a virtual environment can be made.
FITNESS = "import sys; sys.exit(sys.version_info < %r)\nimport ensurepip, venv" % (VERSION_MIN,)


def complaint() -> str:
    """What this interpreter lacks, with the fix, in one sentence; empty if it is fit."""
    version = "%d.%d" % sys.version_info[:2]
    if sys.version_info < VERSION_MIN:
        return (
            "Python %d.%d or newer is needed, this is %s (%s): install one "
            "(Debian, Ubuntu: apt install python3 python3-venv; others: python.org/downloads) "
            "or name the one that is there, as in `python3.12 -m tools test` or `make test PYTHON=python3.12`."
            % (VERSION_MIN[0], VERSION_MIN[1], version, sys.executable)
        )
    try:
        import ensurepip  # noqa: F401  (only whether it is there)
        import venv  # noqa: F401
    except ImportError as error:
        return (
            "This Python %s (%s) cannot make a virtual environment (no module %s): "
            "install it (Debian, Ubuntu: apt install python3-venv, or python%s-venv) and run the command again."
            % (version, sys.executable, error.name, version)
        )
    return ""


def fit_interpreter() -> "str | None":
    """Another Python on PATH that is new enough and can make a virtual environment."""
    for name in NEWER:
        path = shutil.which(name)
        if not path:
            continue
        try:  # a pyenv shim is on PATH for versions that are not active, and fails when run
            code = subprocess.call([path, "-c", FITNESS], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except OSError:
            continue
        if code == 0:
            return path
    return None


def main() -> int:
    """Run the verb with this Python, or with a fit one, or say in one sentence what is missing."""
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(here)
    # `python3 PATH/tools VERB` works from any folder, and our module names shadow nobody's.
    sys.path[:] = [root] + [entry for entry in sys.path if os.path.abspath(entry or ".") not in (here, root)]

    lack = complaint()
    if lack:
        other = fit_interpreter()
        if other is None:
            sys.stderr.write("otelbridge: " + lack + "\n")
            return 1
        command = [other, here, *sys.argv[1:]]
        if os.name == "posix":  # so that Ctrl-C and signals reach the one that works
            os.execv(other, command)
        return subprocess.call(command)

    from tools.verbs import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

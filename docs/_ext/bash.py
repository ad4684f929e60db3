"""What each kernel begins with: a ``%%bash`` that shows what a program prints to a file, whole, and fails with it."""


def _bash(line, cell):
    import os
    import subprocess

    environ = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    done = subprocess.run(
        ["bash", "-ec", cell], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(done.stdout, end="")
    done.check_returncode()


get_ipython().register_magic_function(_bash, "cell", "bash")  # noqa: F821 (IPython's own)

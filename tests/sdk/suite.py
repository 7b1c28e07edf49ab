"""The suite `sdk`: Box's official SDKs, unmodified, with the adapters and the Box-compatible endpoint.

    python3 suite.py prepare SCRATCH          installs the SDKs, each in a folder of its own; unit tests
    python3 suite.py run SCRATCH BINARY       runs what was prepared; prints `ok: …` and `FAILED: …`

Nothing is written outside of SCRATCH but the package managers' own caches.
"""

import json
import os
import shutil
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

import reports
from environments import ENVIRONMENTS
from stage import Stage

# Seconds that one driver may take.
LIMIT = 600
# Seconds that a token lives during the uploads: time enough between its renewal and its end.
SHORT_LIFE = 40


def prepare(scratch):
    """Installs what can be installed, and keeps for `run` how the unit tests went."""
    with ThreadPoolExecutor(2) as pool:
        told = pool.map(lambda name: attempt(ENVIRONMENTS[name], scratch), ENVIRONMENTS)
        prepared = dict(zip(ENVIRONMENTS, told))
    with open(os.path.join(scratch, "prepared.json"), "w", encoding="utf-8") as file:
        json.dump(prepared, file)


def attempt(environment, scratch):
    """Whether an environment could be prepared, and what is to be said of it."""
    try:
        environment.prepare(scratch)
    except subprocess.CalledProcessError as error:
        problem = f"{' '.join(map(str, error.cmd))} ended with {error.returncode}:\n{error.output}"
    except Exception:
        problem = traceback.format_exc()
    else:
        return True, [line for test in environment.unit_tests(scratch) for line in drive(*test, {})]
    return False, [failed(f"{environment.title} cannot be prepared"), indented(problem)]


def run(scratch, binary):
    with open(os.path.join(scratch, "prepared.json"), encoding="utf-8") as file:
        prepared = json.load(file)
    for _, told in prepared.values():
        say(told)
    ready = [ENVIRONMENTS[name] for name, (is_ready, _) in prepared.items() if is_ready]
    try:
        stage = Stage(binary, os.path.join(scratch, "stage"))
    except Exception:
        say([failed("the broker and the stand-in for Box do not come up"), indented(traceback.format_exc())])
        return
    try:
        on_stage(stage, ready, scratch)
    except Exception:
        say([failed("the broker or the stand-in for Box does not answer"), indented(traceback.format_exc())])
    finally:
        stage.stop()


def on_stage(stage, ready, scratch):
    facts = os.path.join(scratch, "stage.json")
    stage.write(facts)
    variables = {"BTB_SDK_STAGE": facts}
    for environment in ready:
        for title, command in environment.checks(scratch):
            stage.begin_anew()
            say(drive(title, command, reports.lines, variables))
    stage.begin_anew(SHORT_LIFE)
    uploads = [upload for environment in ready for upload in environment.uploads(scratch)]
    with ThreadPoolExecutor(len(uploads) or 1) as pool:
        for told in pool.map(lambda upload: drive(*upload, reports.lines, variables), uploads):
            say(told)


def drive(title, command, read, variables):
    """Runs a driver: how each of its checks went, and all that it printed where one did not go well."""
    folder, words = command
    own = {name: value for name, value in os.environ.items() if not name.startswith("BTB_")}
    try:
        done = subprocess.run(
            words, cwd=folder, env={**own, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        printed = (error.output or b"").decode(errors="replace")
        return [failed(f"{title}: it takes longer than {LIMIT} s"), indented(printed)]
    results = list(read(folder, done.stdout))
    told = [(f"ok: {title}: {name}" if well else failed(f"{title}: {name}")) for well, name in results]
    all_well = all(well for well, _ in results)
    if not results or (done.returncode != 0 and all_well):
        told.append(failed(f"{title}: it broke off"))
    if not results or not all_well or done.returncode != 0:
        told.append(indented(done.stdout))
    return told


def say(told):
    for text in told:
        print(text, flush=True)


def failed(text):
    return f"FAILED: {text}"


def indented(text):
    """What somebody printed, so that none of its lines counts a second time."""
    return "\n".join(f"    {line}" for line in text.splitlines())


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        shutil.rmtree(sys.argv[2], ignore_errors=True)
        os.makedirs(sys.argv[2])
        prepare(sys.argv[2])
    else:
        run(sys.argv[2], sys.argv[3])

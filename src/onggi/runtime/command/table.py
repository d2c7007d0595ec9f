"""The commands: each is a module beside this one, imported when it is asked for."""

from __future__ import annotations

# name -> (module, what it does)
COMMANDS = {
    "checkpoint": ("checkpoint", "Freeze a container to files, for restore"),
    "create": ("create", "Create a container from a bundle"),
    "delete": ("delete", "Remove what is held for a container"),
    "events": ("events", "Print what a container uses, as it goes on"),
    "exec": ("exec", "Run a further program in a container"),
    "features": ("features", "Print what of the specification is done here"),
    "kill": ("kill", "Send a signal to a container's first process: TERM, if none is named"),
    "list": ("listing", "List containers"),
    "pause": ("pause", "Stop the processes of a container where they are"),
    "ps": ("ps", "List the processes of a container"),
    "restore": ("restore", "Create a container as it was at a checkpoint"),
    "resume": ("resume", "Let the processes of a paused container go on"),
    "run": ("run", "Create a container and start it"),
    "spec": ("template", "Write a configuration to begin with"),
    "start": ("begin", "Start the program of a created container"),
    "state": ("status", "Print the state of a container"),
    "update": ("update", "Change what a container may use"),
}

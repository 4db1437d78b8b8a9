#!/usr/bin/env bash
# temporalio 1.35.0 raises asyncio.CancelledError where the server, or a proxy before it, ended a call with CANCELLED.
#
# Expected: an error of the call with that status, as from every other method and as for the result of a workflow. A
# CancelledError says that somebody cancels the task.
# Seen: waiting for the result of an activity raises CancelledError though nobody cancels. The task counts as cancelled,
# `except Exception` does not catch it, and a TaskGroup takes it for no failure: it ends without an error, and what
# should have followed on the result has not happened.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "temporalio==1.35.0" "grpcio==1.85.3"
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import os

import grpc
from temporalio.client import ActivityHandle, Client, WorkflowHandle


class Server(grpc.GenericRpcHandler):
    """Answers the first question of a client, and ends all other calls."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            if not details.method.endswith("/GetSystemInfo"):
                await context.abort(grpc.StatusCode.CANCELLED, "ended by the server")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


async def error_of(handle: ActivityHandle | WorkflowHandle) -> str:
    try:
        await handle.result()
    except BaseException as error:
        return type(error).__name__
    return "none"


async def main() -> int:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Server(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    client = await Client.connect(f"127.0.0.1:{port}")
    activity = client.get_activity_handle("one")
    seen = [await error_of(client.get_workflow_handle("one")), await error_of(activity)]
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(activity.result())
        seen.append(f"no error, task cancelled: {task.cancelled()}")
    except* Exception as errors:
        seen.append(type(errors.exceptions[0]).__name__)
    print("expected:", ["RPCError"] * 3)
    print("seen:    ", seen, flush=True)
    await server.stop(None)
    return seen != ["RPCError", "CancelledError", "no error, task cancelled: True"]


os._exit(asyncio.run(main()))  # nothing here is about the end of the program
PYTHON

"""Executors: one interface, one result, at every level from LiteRT to the board."""

from bitloom.run.executor import EXECUTORS, Executor, ExecutorOptions, check_inputs, create_executor
from bitloom.run.result import Cycles, RunResult

__all__ = ["EXECUTORS", "Cycles", "Executor", "ExecutorOptions", "RunResult", "check_inputs", "create_executor"]

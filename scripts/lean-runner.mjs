// Loaded before Node's test runner. It follows every promise of a process by async hooks, to know which test an error belongs to that nobody caught: half the
// processor time of a test that only awaits (the model of streams: 9.2 s, 4.6 s without), and a good part of one with servers. Here it follows all but promises:
// such an error fails its file, not its test, and is told with where it came from.
import asyncHooks from 'node:async_hooks'

const createHook = asyncHooks.createHook
// A Node that does not know the option follows promises too.
asyncHooks.createHook = (callbacks) => createHook({ ...callbacks, trackPromises: false })

const tell = (error) => process.stderr.write(`nobody caught: ${error?.stack ?? error}\n`)
// Beside the runner's own listeners, which make the process's end a failure.
process.on('uncaughtExceptionMonitor', tell).on('unhandledRejection', tell)

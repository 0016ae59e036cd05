// Loaded before a test file: when nothing is left to do, the process ends by process.exit. Node's own end of a process that ran out of
// work frees what is left first, and at times never finishes that: after sockets were destroyed with a request under way it turns
// in uv_run for ever (Environment::CleanupHandles, Node 24.21). A test that leaves something open is still seen: then nothing is over.
let over = 0
process.on('beforeExit', () => {
  // The first time is the test runner's, which ends its report then.
  if (++over > 1) process.exit()
  setImmediate(() => undefined)
})

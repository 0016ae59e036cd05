// Runs a program on the project's Node as if it were this process: same terminal, signals passed, same end.
import { spawn } from 'node:child_process'
import { useCompileCache } from './compile-cache.mjs'

export function runNode(node, args, options = {}) {
  useCompileCache()
  const child = spawn(node, ['--disable-warning=ExperimentalWarning', ...args], {
    // The channel carries nothing: that it closes tells the child that we are gone, even by kill -9.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    ...options,
  })
  // Ctrl-C reaches the child from the terminal, as one of its process group; sent to us alone (kill), it has to be passed
  // on. A second SIGINT hurts nobody but a child that takes it for impatience, so only without a terminal.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    console.error(`${node} cannot be run: ${error.message}`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

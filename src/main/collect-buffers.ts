/**
 * Collects buffers of megabytes as soon as they are garbage. V8 sees a small heap and leaves what hangs on it for later: a mover that handles rows of 15 MiB
 * has 200 MB of them in use and had 500 MB in memory (promise 8: memory is bounded by configuration, not by the size of a row). A whole
 * collection of such a heap took 75 to 120 ms on a machine with a load of 20, and is made only after another `growthBytes` of buffers: with ordinary rows, never.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const lookMs = 20
/** Below this nothing is done. */
const leastBytes = 80 << 20
const growthBytes = 16 << 20

/** Returns what ends it. */
export function collectBuffers(): () => void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const buffers = (): number => getHeapStatistics().external_memory
  let nextAt = leastBytes
  const timer = setInterval(() => {
    if (buffers() < nextAt) return
    collect()
    nextAt = Math.max(leastBytes, buffers() + growthBytes)
  }, lookMs)
  timer.unref()
  return () => clearInterval(timer)
}

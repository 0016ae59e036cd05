/** The application of the demonstration as a process of its own; options come as one JSON argument, reports go up by IPC. */
import { Application } from '../demo/application.ts'
import type { ApplicationOptions } from '../demo/application.ts'
import { systemClock } from '../base/clock.ts'
import { watchParent } from '../local/parent-watch.ts'

type Given = Omit<ApplicationOptions, 'clock' | 'random' | 'report'> & { readonly seed: number }

const given = JSON.parse(process.argv[2] ?? '{}') as Given
const stop = new AbortController()
process.on('message', (message) => {
  if (message === 'stop') stop.abort()
})
process.on('SIGINT', () => {})
process.on('SIGTERM', () => stop.abort())
watchParent({ onGone: () => process.exit(0) })
const application = new Application({
  ...given,
  clock: systemClock,
  random: randomFrom(given.seed),
  report: (second) => process.send?.(second),
})
await application.run(stop.signal)
process.exit(0)

/** Mulberry32: small, seeded, good enough to choose operations. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

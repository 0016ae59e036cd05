/**
 * Deaths and pauses on purpose, for tests: the environment names a file, the file names a crash point, and the process that comes to it
 * removes the file and kills itself there. Once, so that the process which is started in its place gets past. After `<point> hold` it
 * renames the file to `<file>.held` instead and waits there until that is removed.
 */
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { noIngestFailpoints, type IngestFailpoints } from '../ingest/crash-points.ts'
import type { SwitchFailpoint } from '../switch/crash-points.ts'

export function switchFailpointOf(file: string | undefined): SwitchFailpoint | null {
  if (file === undefined) return null
  return async (point) => {
    const wanted = armed(file)
    if (wanted === `${point} hold`) return held(file)
    if (wanted !== point) return
    rmSync(file, { force: true })
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => undefined)
  }
}

/** The same for consumers. */
export function ingestFailpointsOf(file: string | undefined): IngestFailpoints {
  if (file === undefined) return noIngestFailpoints
  return {
    hit(point) {
      if (armed(file) !== point) return undefined
      rmSync(file, { force: true })
      process.kill(process.pid, 'SIGKILL')
      return new Promise(() => undefined)
    },
  }
}

function armed(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return null
  }
}

/** Of several processes that come to it at once, the one whose rename succeeds is held. */
async function held(file: string): Promise<void> {
  try {
    renameSync(file, `${file}.held`)
  } catch {
    return
  }
  while (existsSync(`${file}.held`)) await delay(2)
}

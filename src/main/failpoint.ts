/**
 * Deaths on purpose, for tests: the environment names a file, the file names a crash point, and the process that comes to it
 * removes the file and kills itself there. Once, so that the process which is started in its place gets past.
 */
import { readFileSync, rmSync } from 'node:fs'
import type { SwitchFailpoint } from '../switch/crash-points.ts'

export function switchFailpointOf(file: string | undefined): SwitchFailpoint | null {
  if (file === undefined) return null
  return async (point) => {
    if (armed(file) !== point) return
    rmSync(file, { force: true })
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => undefined)
  }
}

function armed(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return null
  }
}

import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { identify, isAlive, type ProcessIdentity } from '../local/process-identity.ts'
import { mainErrors } from './errors.ts'

/** One tree at a time on a data directory, told by a live process and not by a file alone. */
export function claimDataDir(dataDir: string): void {
  mkdirSync(join(dataDir, 'logs'), { recursive: true, mode: 0o700 })
  const known = ['logs', 'servers', 'up.lock', 'up.json', 'installation.json', 'client.password', 'demo']
  const strange = readdirSync(dataDir).find((name) => !known.includes(name) && !name.startsWith('topology.'))
  if (strange !== undefined) throw mainErrors.dataDirNotOurs({ dataDir, strange })
  const lock = join(dataDir, 'up.lock')
  const mine = identify(process.pid)
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(lock, JSON.stringify(mine), { flag: 'wx' })
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    let holder: ProcessIdentity | null = null
    try {
      holder = JSON.parse(readFileSync(lock, 'utf8')) as ProcessIdentity
    } catch {
      // Half written by a process that died: nobody holds it.
    }
    if (holder !== null && holder.pid !== mine?.pid && isAlive(holder)) throw mainErrors.dataDirInUse({ dataDir, pid: holder.pid })
    rmSync(lock, { force: true })
  }
}

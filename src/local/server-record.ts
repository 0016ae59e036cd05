import { readFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { localErrors } from './errors.ts'
import type { LocalFlavour } from './installs.ts'
import type { ProcessIdentity } from './process-identity.ts'
import type { ServerSettings } from './server-config.ts'

export const recordName = 'local.json'

/**
 * What is known of one server, in `<dir>/local.json`: enough for any later process of ours to adopt it while it runs and
 * to start it again as it was when it does not.
 */
export type ServerRecord = {
  readonly v: 1
  readonly id: string
  readonly flavour: LocalFlavour
  readonly version: string
  readonly serverId: number
  readonly port: number
  readonly socketPath: string
  readonly settings: ServerSettings
  /** False until the server has run once with what the first start sets (root's password). */
  readonly initialised: boolean
  /** The process last started; null after a stop on purpose. */
  readonly process: ProcessIdentity | null
}

export function readServerRecord(dir: string): ServerRecord | null {
  const file = join(dir, recordName)
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw localErrors.recordUnreadable({ file, reason: (error as Error).message }, error)
  }
  try {
    const record = JSON.parse(text) as ServerRecord
    if (record.v !== 1) throw new Error(`version ${String(record.v)} is newer than this program`)
    return record
  } catch (error) {
    throw localErrors.recordUnreadable({ file, reason: (error as Error).message }, error)
  }
}

/** Whole or not at all, also when the machine stops in between. */
export async function writeServerRecord(dir: string, record: ServerRecord): Promise<void> {
  const file = join(dir, recordName)
  const temporary = `${file}.new`
  const handle = await open(temporary, 'w', 0o600)
  try {
    await handle.writeFile(`${JSON.stringify(record, null, 2)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
}

import { readFileSync } from 'node:fs'
import { localErrors } from './errors.ts'

export type LocalFlavour = 'mariadb' | 'mysql'

/** A server program that can be run here, as set-up wrote it to `.servers/servers.json`. */
export type ServerInstall = {
  readonly flavour: LocalFlavour
  /** Program to run; for an unpacked one a script that runs it with its own libraries. */
  readonly mysqld: string
  /** Root of the installation; null when the program finds its files by itself. */
  readonly basedir: string | null
  /** Directory of error messages and, on MariaDB, of the SQL that makes the system tables; null when the program knows. */
  readonly shareDir: string | null
  readonly version: string
  readonly how: 'found' | 'named' | 'unpacked'
}

export type ServerInstalls = Partial<Record<LocalFlavour, ServerInstall>>

/** @throws SW-LOCAL-001 when there is no such file, SW-LOCAL-002 when it is not one of ours */
export function readInstalls(file: string): ServerInstalls {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw localErrors.noServers({ flavour: 'mariadb', file }, error)
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw localErrors.serversFileUnreadable({ file, reason: (error as Error).message }, error)
  }
  const installs: ServerInstalls = {}
  for (const flavour of ['mariadb', 'mysql'] as const) {
    const entry = (parsed as Record<string, unknown> | null)?.[flavour]
    if (entry !== undefined) installs[flavour] = parseInstall(file, flavour, entry)
  }
  return installs
}

export function installOf(installs: ServerInstalls, flavour: LocalFlavour, file: string): ServerInstall {
  const install = installs[flavour]
  if (install === undefined) throw localErrors.noServers({ flavour, file })
  return install
}

function parseInstall(file: string, flavour: LocalFlavour, entry: unknown): ServerInstall {
  const bad = (reason: string): Error => localErrors.serversFileUnreadable({ file, reason: `${flavour}: ${reason}` })
  if (typeof entry !== 'object' || entry === null) throw bad('not an object')
  const { mysqld, basedir, shareDir, version, how } = entry as Record<string, unknown>
  if (typeof mysqld !== 'string' || typeof version !== 'string') throw bad('mysqld and version must be text')
  const pathOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null)
  return {
    flavour,
    mysqld,
    basedir: pathOrNull(basedir),
    shareDir: pathOrNull(shareDir),
    version,
    how: how === 'unpacked' || how === 'named' ? how : 'found',
  }
}

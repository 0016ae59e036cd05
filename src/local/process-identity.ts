import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'

/**
 * Which process, not merely which number: pids are used again, so a pid is trusted only together with its start time
 * and the boot it belongs to. What is signalled here is always checked against all three.
 */
export type ProcessIdentity = { readonly pid: number; readonly startTime: string }

/** Identity of the live process `pid`, or null when there is none (a zombie counts as none). */
export function identify(pid: number): ProcessIdentity | null {
  const startTime = startTimeOf(pid)
  return startTime === null ? null : { pid, startTime }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return startTimeOf(identity.pid) === identity.startTime
}

/** Sends `signal` if that very process still lives; says whether it did. */
export function signalIfAlive(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false
  try {
    process.kill(identity.pid, signal)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

function startTimeOf(pid: number): string | null {
  if (process.platform !== 'linux') return startTimeByPs(pid)
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return null
  }
  // proc(5): "pid (comm) state ppid …"; comm may hold blanks and parentheses, so count from the last ")".
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if ((fields[0] === 'Z' || fields[0] === 'X') && !hasOtherThreads(pid)) return null
  const ticks = fields[19]
  return ticks === undefined ? null : `${bootId()}/${ticks}`
}

/**
 * A killed process shows as a zombie as soon as its first thread has ended; while others still end, its ports, files and
 * file locks are held (seen with mysqld under load: its own port was taken at the restart).
 */
function hasOtherThreads(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).length > 1
  } catch {
    return false
  }
}

function startTimeByPs(pid: number): string | null {
  try {
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'latin1',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
    return line === '' || line.startsWith('Z') ? null : line.replace(/^\S+\s+/, '')
  } catch {
    return null
  }
}

let boot: string | null = null
function bootId(): string {
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim().slice(0, 8)
  return boot
}

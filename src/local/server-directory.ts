/** Names of files and sockets of one server's directory. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'

export function absolute(dir: string): string {
  return isAbsolute(dir) ? dir : resolve(dir)
}

/** A Unix socket's path may have 107 bytes; a deep directory gets one in the temporary directory instead. */
export function socketPathFor(dir: string): string {
  const inside = join(dir, 'mysqld.sock')
  if (Buffer.byteLength(inside) <= 100) return inside
  return join(tmpdir(), `shardwright-${createHash('sha256').update(dir).digest('hex').slice(0, 16)}.sock`)
}

export async function pidFromFile(file: string): Promise<number | null> {
  try {
    const pid = Number((await readFile(file, 'utf8')).trim())
    return Number.isSafeInteger(pid) && pid > 0 ? pid : null
  } catch {
    return null
  }
}

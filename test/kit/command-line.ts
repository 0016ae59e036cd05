/** The command line, as a user has it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const bin = join(import.meta.dirname, '..', '..', 'bin', 'shardwright.mjs')

/** What it printed, and how it ended. Words of `line` are parted by single spaces. */
export async function commandLine(apiUrl: string, line: string): Promise<{ readonly code: number; readonly text: string }> {
  const child = spawn(process.execPath, [bin, '--api', apiUrl, ...line.split(' ')], { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (text += part))
  const [code] = (await once(child, 'close')) as [number]
  return { code, text }
}

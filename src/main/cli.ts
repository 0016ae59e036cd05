import { createInterface } from 'node:readline/promises'
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { hostname, userInfo } from 'node:os'
import { CommanderError } from 'commander'
import { ApiClient } from '../api/client.ts'
import { systemClock } from '../base/clock.ts'
import { SwError } from '../base/errors.ts'
import type { CliContext } from '../cli/context.ts'
import { printError } from '../cli/follow.ts'
import { buildProgram } from '../cli/program.ts'
import { consumeCommand } from './consume-command.ts'
import { upCommand } from './up.ts'
import { version } from './version.ts'

// A reader that has seen enough (`| head`) is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
const interrupted = new AbortController()
let liveShown = false
const clearLive = (): void => {
  if (liveShown) process.stderr.write('\r\x1b[2K')
  liveShown = false
}
async function askOnTerminal(question: string): Promise<string> {
  clearLive()
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await terminal.question(question, { signal: interrupted.signal })
  } finally {
    terminal.close()
  }
}
const cli: CliContext = {
  client: () => {
    const options = program.opts<{ api?: string }>()
    return new ApiClient({
      baseUrl: options.api ?? defaultApi(),
      ...(process.env['SHARDWRIGHT_TOKEN'] === undefined ? {} : { token: process.env['SHARDWRIGHT_TOKEN'] }),
    })
  },
  clock: systemClock,
  out: (line) => {
    clearLive()
    process.stdout.write(`${line}\n`)
  },
  err: (line) => {
    clearLive()
    process.stderr.write(`${line}\n`)
  },
  live: process.stderr.isTTY
    ? (line) => {
        process.stderr.write(`\r\x1b[2K${line.slice(0, (process.stderr.columns ?? 120) - 1)}`)
        liveShown = line !== ''
      }
    : null,
  ask: process.stdin.isTTY && process.stderr.isTTY ? askOnTerminal : null,
  readFile: (path) => readFile(path, 'utf8'),
  serverPassword: () => process.env['SHARDWRIGHT_SERVER_PASSWORD'],
  newId: randomUUID,
  actor: `${userInfo().username}@${hostname()}`,
  interrupted: interrupted.signal,
  setExitCode: (code) => (process.exitCode = code),
}
const program = buildProgram(cli, version)
upCommand(program, cli.out)
consumeCommand(program, cli.out)
program.exitOverride()
for (const command of program.commands) command.exitOverride()
if (!process.argv.includes('up') && !process.argv.includes('consume')) process.once('SIGINT', () => interrupted.abort())
// Node's own end of a process that ran out of work at times never comes (scripts/end-of-process.mjs): a command must end.
process.once('beforeExit', () => process.exit())
try {
  await program.parseAsync(process.argv)
} catch (error) {
  if (error instanceof SwError) printError(cli, error.toJSON())
  else if (error instanceof CommanderError) {
    process.exitCode = error.exitCode
  } else cli.err(error instanceof Error ? error.message : String(error))
  if (!(error instanceof CommanderError)) process.exitCode = 1
}

/** `up` in this directory tells its address; else the default. */
function defaultApi(): string {
  const file = process.env['SHARDWRIGHT_API'] === undefined ? './.shardwright/up.json' : null
  if (file === null) return process.env['SHARDWRIGHT_API'] ?? ''
  if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { api: string }).api
  return 'http://127.0.0.1:15000'
}

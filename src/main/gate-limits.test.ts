import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Command } from 'commander'
import { allErrors } from '../base/errors.ts'
import { defaultGateConfig } from '../gate/config.ts'
import { gateLimitArguments, gateLimits, gateLimitsOf } from './gate-limits.ts'
import { upCommand } from './up.ts'

test('limits of a gate are set by flags, in units as people write them', () => {
  assert.deepEqual(gateLimitsOf('gate', { 'sessions-max': '7', 'packet-bytes-max': '128M', 'idle-session': '2h' }), {
    sessionsMax: 7,
    packetBytesMax: 128 << 20,
    idleSessionMs: 7_200_000,
  })
  assert.deepEqual(gateLimitsOf('gate', {}), {})
  assert.deepEqual(gateLimitArguments({ sessionsMax: '7', dataDir: 'x' }), ['--sessions-max', '7'])
})

test('promise 7: a limit that can not be is refused by name, with what is wanted', () => {
  const refused = (flags: Record<string, string>, ...says: RegExp[]): void => {
    for (const what of says) assert.throws(() => gateLimitsOf('up', flags), { code: 'SW-MAIN-001', message: what })
  }
  refused({ 'sessions-max': '0' }, /--sessions-max 0: a number from 1 to 1000000 is wanted/)
  refused({ 'sessions-max': '1e3', 'packet-bytes-max': '2G' }, /--sessions-max 1e3/, /--packet-bytes-max 2G: bytes such as 64M from 1M to/)
  refused({ 'idle-session': 'never' }, /a duration such as 30s or 8h/)
  refused({ 'scatter-bytes-max': '2G' }, /--scatter-bytes-max is above --held-bytes-max \(512M\)/)
  assert.ok(gateLimitsOf('up', { 'scatter-bytes-max': '2G', 'held-bytes-max': '4G' }))
})

test('more sessions than are promised to be held are let in unless told', () => {
  assert.ok(defaultGateConfig.sessionsMax > 5_000)
})

test('promise 7: what an error says to raise can be: every flag of `up` that one names is there, and no name of the inside is told', async () => {
  const src = join(import.meta.dirname, '..')
  for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' }))
    if (/(^|[/-])errors\.ts$/.test(file)) await import(join(src, file))
  const program = new Command()
  upCommand(program, () => {})
  const up = program.commands.find((command) => command.name() === 'up')
  const flags = new Set(up?.options.map((option) => option.long))
  for (const { flag } of gateLimits) assert.ok(flags.has(`--${flag}`), flag)
  const named = new Set<string>()
  for (const { code, spec } of allErrors()) {
    const told = `${spec.what} ${spec.why} ${spec.fix}`
    for (const name of Object.keys(defaultGateConfig)) assert.ok(!told.includes(name), `${code} tells of ${name}`)
    for (const [, flag] of told.matchAll(/`?up (--[a-z-]+)/g)) {
      assert.ok(flags.has(flag), `${code} tells of up ${flag}, which is no flag`)
      named.add(flag as string)
    }
    if (/\braise\b/.test(spec.fix) && code.startsWith('SW-GATE')) assert.match(spec.fix, /raise `up --/, code)
  }
  // Nobody would hear of a limit that is met and not told.
  for (const { flag } of gateLimits) assert.ok(named.has(`--${flag}`), `no error names --${flag}`)
})

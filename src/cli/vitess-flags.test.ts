/** Each row of the table of Vitess's verbs and flags is tried: what it says is what the command does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiClient } from '../api/client.ts'
import type { ActionView } from '../api/schemas.ts'
import { isSwError } from '../base/errors.ts'
import { systemClock } from '../base/clock.ts'
import type { CliContext } from './context.ts'
import { dualwriteFlags, dualwriteVerbTexts } from './dualwrite-flags.ts'
import { flagName } from './flags.ts'
import { buildProgram } from './program.ts'
import { otherCommands, reshardFlags, reshardVerbs, vdiffFlags, vdiffVerbs } from './vitess-flags.ts'
import type { FlagRule } from './flags.ts'

type Call = { name: string; params: unknown; body: Record<string, unknown> | undefined }
type Run = { calls: Call[]; out: string[]; err: string[]; help: string; error: unknown }

const done: ActionView = {
  id: 'id-00000000',
  verb: 'x',
  state: 'done',
  requestedAtMs: 1,
  startedAtMs: 1,
  endedAtMs: 1,
  waiting: null,
  steps: [],
  text: ['a line for people'],
  result: { vdiff: 'v1' },
  error: null,
  errors: [],
}
const vdiff = {
  uid: 'v1',
  state: 'clean',
  startedAtMs: 1,
  endedAtMs: 2,
  rowsCompared: 1,
  rowsEstimated: 1,
  rowsPerSecond: 1,
  etaMs: 0,
  repairedRows: 0,
  error: null,
  waiting: null,
  pass: null,
  why: null,
  groups: [],
  tables: [],
}
const stream = {
  uid: 's',
  direction: 'forward',
  source: '-',
  targets: ['-80'],
  wanted: 'running',
  state: 'running',
  waiting: null,
  throttled: null,
  error: null,
  stateSinceMs: null,
  lanes: 4,
  retries: 0,
  chunksDone: 3,
  chunksLeft: 9,
  bytesPerSecond: null,
  rowChangesPerSecond: null,
  appliedBytesPerSecond: null,
  sourceBytesPerSecond: null,
  reportAgeMs: 1,
  rowsDone: 1,
  rowsEstimated: 1,
  rowsPerSecond: null,
  etaMs: null,
  lag: null,
  rowsHeldBack: 0,
  positionAgeMs: 0,
  rowChangesApplied: 0,
  tables: [],
  headroom: null,
  resumed: null,
}
const workflow = {
  keyspace: 'k',
  name: 'w',
  kind: 'reshard',
  state: 'running',
  sourceShards: ['-'],
  targetShards: ['-80'],
  serving: 'source',
  streams: [stream],
  vdiff: null,
  action: null,
  journal: [],
  next: [],
}

async function run(args: readonly string[], ask: CliContext['ask'] = null): Promise<Run> {
  const result: Run = { calls: [], out: [], err: [], help: '', error: null }
  const client = {
    baseUrl: 'http://test',
    async call(name: string, params: unknown, body?: Record<string, unknown>) {
      result.calls.push({ name, params, body })
      if (name === 'showWorkflow') return workflow
      if (name === 'listVdiffs') return [vdiff]
      if (name.startsWith('list')) return []
      return name.endsWith('VSchema') ? {} : done
    },
  } as unknown as ApiClient
  const cli: CliContext = {
    client: () => client,
    clock: systemClock,
    out: (line) => result.out.push(line),
    err: (line) => result.err.push(line),
    live: null,
    ask,
    readFile: async () => '{}',
    serverPassword: () => 'secret',
    newId: () => 'id-00000000',
    actor: 'me@test',
    interrupted: new AbortController().signal,
    setExitCode: () => {},
  }
  const program = buildProgram(cli, '0')
  program.exitOverride()
  for (const command of program.commands)
    command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: (text) => void (result.help += text) })
  await program.parseAsync(['node', 'shardwright', ...args]).catch((error: unknown) => (result.error = error))
  return result
}

/** A value that fits the flag. */
function valueOf(rule: FlagRule): string[] {
  const values: Record<string, string> = {
    '--source-shards': '0',
    '--target-shards': '-80,80-',
    '--on-ddl': 'STOP',
    '--triggers': 'at-switch',
    '--fence': 'triggers',
    '--targets-per-server': '2',
    '--target-server': 'mysql://u@h:3306/s',
    '--failpoint': 'x=hold',
    '--timeout': '30s',
    '--max-replication-lag-allowed': '5s',
    '--tablet-types': 'PRIMARY,REPLICA',
    '--format': 'json',
    '--allow-unfenced': 'root@localhost',
    '--vschema': '{}',
    '--max-source-load': '0.1',
    '--max-copy-rate': '20M',
    '--max-threads-running': '50',
    '--max-history-length': 'none',
    '--max-commit-latency': '20ms',
    '--max-replica-lag': '5s',
    '--pause-until': '06:00',
    '--max-stall': '3s',
  }
  if (/\[bool\]/.test(rule.flag)) return ['true']
  return /[<[]/.test(rule.flag) ? [values[flagName(rule)] ?? 'x'] : []
}

const base = ['--workflow', 'w', '--target-keyspace', 'k']
const required: Record<string, string[]> = {
  create: ['--source-shards', '0', '--target-shards', '-80,80-'],
  update: ['--resume'],
  complete: ['--yes'],
  cancel: ['--yes'],
}

for (const [command, verbs, flags] of [
  ['reshard', reshardVerbs, reshardFlags],
  ['vdiff', vdiffVerbs, vdiffFlags],
] as const) {
  for (const rule of flags) {
    const name = flagName(rule)
    if (name === '--workflow' || name === '--target-keyspace') continue
    const needed = (verb: string): string[] =>
      command === 'reshard' && name !== '--source-shards' && name !== '--target-shards'
        ? (required[verb] ?? [])
        : name === '--source-shards'
          ? ['--target-shards', '-']
          : name === '--target-shards'
            ? ['--source-shards', '0']
            : []
    for (const verb of verbs) {
      const belongs = rule.verbs.includes(verb)
      test(`${command} ${verb} ${name}: ${belongs || rule.how === 'refused' ? rule.how : 'not of this verb'}`, async () => {
        // Given before the verb and after it, the verb in Vitess's spelling: all the same.
        for (const args of [
          [command, ...base, name, ...valueOf(rule), verb, ...needed(verb)],
          [command, verb, ...base, ...needed(verb), name, ...valueOf(rule)],
          [command, verb.toUpperCase(), ...base, ...needed(verb), name, ...valueOf(rule)],
        ]) {
          // A flag with several values takes what follows it.
          if (rule.flag.includes('...') && args.indexOf(name) < args.indexOf(verb)) continue
          const result = await run(args)
          if (rule.how === 'refused') assert.ok(isSwError(result.error, 'SW-CLI-002'), String(result.error))
          else if (!belongs) assert.ok(isSwError(result.error, 'SW-CLI-001'), String(result.error))
          else {
            if (isSwError(result.error, 'SW-CLI-002')) assert.equal(command, 'vdiff')
            else assert.equal(result.error, null)
            assert.equal(
              result.err.some((line) => line.includes(`${name} is accepted without effect`)),
              rule.how === 'noop',
            )
          }
        }
      })
    }
  }
}

for (const command of otherCommands) {
  for (const rule of command.flags) {
    const name = flagName(rule)
    test(`${command.name} ${name}: ${rule.how}`, async () => {
      const target = command.name === 'ApplyVSchema' || command.name === 'GetVSchema' ? ['k'] : command.name === 'Workflow' ? ['list'] : []
      const needed = command.name === 'ApplyVSchema' && !name.startsWith('--vschema') ? ['--vschema', '{}'] : []
      const result = await run([command.name, name, ...valueOf(rule), ...needed, ...target])
      if (rule.how === 'refused') assert.ok(isSwError(result.error, 'SW-CLI-002'), String(result.error))
      else assert.equal(result.error, null)
    })
  }
}

test("the issue's own command line: shard 0, verb after the flags, Vitess's spelling", async () => {
  const result = await run([
    'Reshard',
    '--workflow',
    'shardMuscleMakerLog',
    '--target-keyspace',
    'musclemaker_log',
    'create',
    '--source-shards',
    '0',
    '--target-shards',
    '-40,40-80,80-c0,c0-',
  ])
  assert.equal(result.error, null)
  const spec = result.calls[0]?.body?.['spec'] as { sourceShards: string[]; targetShards: string[] }
  assert.deepEqual([result.calls[0]?.body?.['name'], result.calls[0]?.body?.['keyspace']], ['shardMuscleMakerLog', 'musclemaker_log'])
  assert.deepEqual([spec.sourceShards, spec.targetShards], [['0'], ['-40', '40-80', '80-c0', 'c0-']])
})

test('a password in the clear on the command line is refused; from the environment it is taken', async () => {
  const refused = await run(['keyspace', 'create', 'app', '--server', 'mysql://root:pw@h:3306/app'])
  assert.ok(isSwError(refused.error, 'SW-CLI-006'))
  assert.doesNotMatch(String((refused.error as Error).message), /:pw@/)
  const taken = await run(['keyspace', 'create', 'app', '--server', 'mysql://root@h:3306/app'])
  assert.deepEqual(
    [taken.calls[0]?.body?.['server']].map((server) => (server as { password: string }).password),
    ['secret'],
  )
})

test('an unknown verb names those that there are', async () => {
  const { error } = await run(['reshard', ...base, 'swichtraffic'])
  assert.ok(isSwError(error, 'SW-CLI-003'))
  assert.match(error.fix, /switchtraffic/)
})

for (const [command, verbs, flags] of [
  ['reshard', reshardVerbs, reshardFlags],
  ['vdiff', vdiffVerbs, vdiffFlags],
  ['DualWrite', Object.keys(dualwriteVerbTexts), dualwriteFlags],
] as const) {
  test(`${command} --help names every verb; a verb's --help names its flags and no other's, each with what it does`, async () => {
    const overview = (await run([command, '--help'])).help
    for (const verb of verbs) {
      assert.match(overview, new RegExp(`^  ${verb} +\\S`, 'm'))
      const { help } = await run([command, verb, '--help'])
      for (const rule of flags.filter((one) => one.how === 'works')) {
        const shown = help.replace(/\s+/g, ' ').includes(`${rule.flag} ${(rule.help ?? 'no help').slice(0, 20)}`)
        assert.equal(shown, rule.verbs.includes(verb), `${verb} ${rule.flag}\n${help}`)
      }
    }
  })
}

test('promise 12: complete and cancel ask for the name of the workflow on a terminal and want --yes elsewhere; a dry run asks nothing', async () => {
  for (const verb of ['complete', 'cancel']) {
    const line = ['reshard', ...base, verb]
    const asked: string[] = []
    const type = (name: string) => async (question: string) => {
      asked.push(question)
      return name
    }
    for (const ask of [null, type(''), type('v'), type('y')]) {
      const { calls, error } = await run(line, ask)
      assert.deepEqual(calls, [])
      assert.equal((error as { code?: string }).code, 'SW-CLI-007')
    }
    assert.match(asked[0] ?? '', /can not be undone.*\(w\)/)
    assert.equal((await run(line, type('w'))).calls[0]?.name, 'act')
    asked.length = 0
    for (const more of ['--yes', '--dry-run']) assert.equal((await run([...line, more], type(''))).calls[0]?.name, 'act')
    assert.deepEqual(asked, [])
  }
})

test('with --format json standard output is one JSON value, whatever is told meanwhile', async () => {
  for (const line of [['create', ...(required['create'] ?? [])], ['switchtraffic'], ['complete', '--yes'], ['check']]) {
    const { out } = await run(['reshard', ...base, ...line, '--format', 'json'])
    assert.equal((JSON.parse(out.join('\n')) as { state: string }).state, 'done', line[0])
  }
})

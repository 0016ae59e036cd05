import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Command } from 'commander'
import type { CliContext } from './context.ts'
import { buildProgram } from './program.ts'

const view = {
  topic: 'queries',
  version: 2,
  digest: 'd',
  shards: ['-80', '80-'],
  tables: [{ table: 'c', kind: 'coalesced', key: ['k'], merges: ['t sketch (relative error 0.02)'], retentionMs: null }],
  problems: [] as object[],
  notes: ['a note'],
}

async function run(args: readonly string[], problems: object[]) {
  const out: string[] = []
  const bodies: unknown[] = []
  let code = 0
  const cli = {
    client: () => ({ call: async (_name: string, _params: object, body: unknown) => (bodies.push(body), { ...view, problems }) }),
    out: (line: string) => out.push(line),
    err: (line: string) => out.push(line),
    setExitCode: (n: number) => (code = n),
  } as unknown as CliContext
  await buildProgram(cli, '0').parseAsync(['node', 'shardwright', 'topic', 'check', ...args])
  return { out: out.join('\n'), body: bodies[0], code }
}

test('topic check says what it found, in words or as JSON, and its exit code tells whether the definition fits', async () => {
  const args = ['--keyspace', 'insights@wide', '--definition', '/d.ts', '--topic', 'log:///t']
  const fits = await run(args, [])
  assert.deepEqual(fits.body, { keyspace: 'insights', branch: 'wide', definition: '/d.ts', topic: 'log:///t' })
  assert.match(fits.out, /relative error 0\.02[^]*note: a note[^]*the definition fits/)
  assert.equal(fits.code, 0)
  const problem = { shard: '80-', table: 'c', column: 'n', problem: 'too narrow', fix: 'widen it' }
  const not = await run(args, [problem])
  assert.match(not.out, /✗ c\.n: too narrow {3}\[80-\]\n {4}widen it[^]*1 problems/)
  assert.equal(not.code, 1)
  assert.deepEqual(JSON.parse((await run([...args, '--format', 'json'], [problem])).out).problems, [problem])
})

test('every command that the example and the guide to dual-write show has the verbs and flags that it is shown with', () => {
  const program = buildProgram({} as CliContext, '0')
  let seen = 0
  for (const file of ['examples/insights/README.md', 'docs/dual-write.md']) {
    const text = readFileSync(join(import.meta.dirname, '../..', file), 'utf8')
    for (const [, line] of text.matchAll(/^ {4}shardwright (.*?)(?: {2,}#.*)?$/gm)) {
      const words = (line ?? '').replace(/ &$/, '').split(/\s+/)
      // These are main/'s.
      if (words[0] === 'up' || words[0] === 'consume') continue
      let command: Command = program
      for (const word of words) {
        const next = command.commands.find((one) => one.name() === word || one.aliases().includes(word))
        if (next === undefined) break
        command = next
      }
      assert.notEqual(command, program, line)
      for (const flag of words.filter((word) => word.startsWith('--')))
        assert.ok(
          command.options.some(({ long }) => long === flag),
          `${file}: ${line}: ${flag}`,
        )
      seen++
    }
  }
  assert.ok(seen > 15, `${seen} commands were looked at`)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CliContext } from './context.ts'
import { isMeant } from './deletion.ts'
import type { Flags } from './flags.ts'

const going = { servers: ['made-1'], schemas: ['app on made-2'], kept: ['x on 10.0.0.7:3306'] }

async function asked(answer: string | null, flags: Flags, what: typeof going = going): Promise<{ meant: boolean; said: string[] }> {
  const said: string[] = []
  const ask = answer === null ? null : (question: string) => (said.push(question), Promise.resolve(answer))
  const cli = { ask, err: (line: string) => said.push(line) } as unknown as CliContext
  return { meant: await isMeant(cli, flags, 'app/wide', async () => what), said }
}

test('promise 12: what holds data is deleted when its name was typed after all that would go was shown, or --yes', async () => {
  const typed = await asked(' app/wide\n', {})
  assert.equal(typed.meant, true)
  assert.deepEqual(typed.said.slice(0, 3), [
    'would remove server made-1, with its data',
    'would remove schema app on made-2, with its data',
    'schema x on 10.0.0.7:3306 stays as it is',
  ])
  assert.equal((await asked('yes', {})).meant, false)
  assert.deepEqual(await asked(null, {}), { meant: false, said: [] })
  assert.deepEqual(await asked(null, { yes: true }), { meant: true, said: [] })
  assert.deepEqual(await asked('', { dryRun: true }), { meant: false, said: [] })
  assert.deepEqual((await asked('', {}, { servers: [], schemas: [], kept: [] })).said, [], 'nothing goes: nothing is asked')
})

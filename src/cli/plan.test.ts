import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { CliContext } from './context.ts'
import { buildProgram } from './program.ts'

const dir = mkdtempSync(join(tmpdir(), 'plan-'))
after(() => rmSync(dir, { recursive: true }))

async function plan(...args: string[]): Promise<{ body: object; out: string[]; err: string[] }> {
  const [out, err]: [string[], string[]] = [[], []]
  let sent: object = {}
  const cli = {
    client: () => ({
      call: async (name: string, params: object, body: object) => (
        assert.deepEqual([name, params], ['plan', { keyspace: 'k' }]),
        (sent = body),
        { text: ['as text'], figures: 7, svg: '<svg/>' }
      ),
    }),
    out: (line: string) => out.push(line),
    err: (line: string) => err.push(line),
  } as unknown as CliContext
  await buildProgram(cli, '0').parseAsync(['node', 's', 'plan', '--keyspace', 'k', '--to-shards', '8', ...args])
  return { body: sent, out, err }
}

test('plan asks for what its flags say: days, growth, outages, ways', async () => {
  const flags =
    '--simulate --ways pin,wait --grow 3 --grow-over 2d --daily-swing 0.4 --outage 2d+4h --outage 1w+30s --every 1h --from-shards 4 --assume Rd=8d --assume w=3000 --sample 500ms'
  const { body, out } = await plan(...flags.split(' '))
  assert.deepEqual(body, {
    toShards: 8,
    fromShards: 4,
    assume: ['Rd=8d', 'w=3000'],
    sampleMs: 500,
    simulate: {
      ways: ['pin', 'wait'],
      growTimes: 3,
      growSeconds: 172_800,
      dailySwing: 0.4,
      everySeconds: 3600,
      outages: [
        { atSeconds: 172_800, seconds: 14_400 },
        { atSeconds: 604_800, seconds: 30 },
      ],
    },
  })
  assert.deepEqual(out, ['as text'])
})

test('the picture is written where it is asked for; JSON leaves the lines out', async () => {
  const file = join(dir, 'plan.svg')
  const { err, out } = await plan('--simulate', '--svg', file, '--format', 'json')
  assert.equal(readFileSync(file, 'utf8'), '<svg/>')
  assert.deepEqual(err, [`the picture is in ${file}`])
  assert.deepEqual(JSON.parse(out.join('')), { figures: 7, svg: '<svg/>' })
})

test('what is wrong in a flag is named', async () => {
  for (const [args, message] of [
    [['--svg', 'x.svg'], /--svg.*belongs to --simulate/],
    [['--simulate', '--ways', 'pin,hope'], /hope is none of replicate, wait/],
    [['--simulate', '--outage', '2d'], /2d is not when\+how long/],
    [['--simulate', '--grow-over', 'soon'], /soon is not a duration/],
    [['--simulate', '--grow', '-3'], /-3 is not a number/],
  ] as const)
    await assert.rejects(plan(...args), message)
})

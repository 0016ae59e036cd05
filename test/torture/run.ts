/** `npm run torture`: see README.md. The order of harms follows from the seed; their instants are those of the machine. */
import { parseArgs } from 'node:util'
import type { ActionView } from '../../src/api/schemas.ts'
import { systemClock as clock } from '../../src/base/clock.ts'
import { database } from '../../src/demo/workload.ts'
import { ranges } from '../../src/demo/story.ts'
import { switchCrashPoints } from '../../src/switch/crash-points.ts'
import { killControlAt, killServerOf, killTree, untilClientsWrite } from '../kit/harm.ts'
import { Installation, isRunning } from '../kit/installation.ts'
import type { RunningApplication } from '../kit/installation.ts'
import { ReshardUnderTest } from '../kit/workflow.ts'
import { seeded } from './seeded.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    minutes: { type: 'string', default: '5' },
    flavour: { type: 'string', default: 'mariadb' },
    rows: { type: 'string', default: '20000' },
  },
})
const seed = Number(values.seed)
const random = seeded(seed)
const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!
const startedMs = clock.monotonicMs()
const endMs = startedMs + Number(values.minutes) * 60_000
const say = (line: string): void =>
  void process.stdout.write(`${((clock.monotonicMs() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${line}\n`)
const again = `npm run torture -- --seed ${seed} --minutes ${values.minutes} --flavour ${values.flavour} --rows ${values.rows}`

type World = {
  readonly installation: Installation
  readonly application: RunningApplication
  reshard: ReshardUnderTest
  from: number
  to: number
}
type Harm = {
  readonly name: string
  readonly weight: number
  readonly possible?: (world: World) => boolean
  readonly run: (world: World) => Promise<void>
}

const verbOf = async (world: World): Promise<'switchtraffic' | 'reversetraffic'> =>
  (await world.reshard.show()).serving === 'source' ? 'switchtraffic' : 'reversetraffic'

/** Stops a process in its tracks for longer than its lease, then lets it go on: it must notice that its time is over. */
async function pause(world: World, name: 'control' | 'mover' | 'gate'): Promise<void> {
  const pid = (await world.installation.pids())[name]
  const forMs = 300 + random() * 4000
  say(`  ${name} (${pid}) is stopped for ${Math.round(forMs)} ms`)
  process.kill(pid, 'SIGSTOP')
  await clock.sleep(forMs)
  if (isRunning(pid)) process.kill(pid, 'SIGCONT')
}

/** Something happens a random while after a switch was asked for. */
async function inASwitch(world: World, harm: () => Promise<unknown>): Promise<void> {
  const action = await world.reshard.ask(await verbOf(world))
  await clock.sleep(random() * 600)
  await harm()
  await world.reshard.outcome(action)
}

const harms: readonly Harm[] = [
  {
    name: 'a switch, nobody harmed',
    weight: 2,
    run: async (world) => void (await world.reshard.outcome(await world.reshard.ask(await verbOf(world)))),
  },
  ...(['mover', 'control', 'gate'] as const).flatMap((name): Harm[] => [
    { name: `kill ${name}`, weight: 1, run: async ({ installation }) => void (await installation.kill(name)) },
    { name: `kill ${name} in a switch`, weight: 2, run: (world) => inASwitch(world, () => world.installation.kill(name)) },
    { name: `pause ${name}`, weight: 1, run: (world) => pause(world, name) },
    { name: `pause ${name} in a switch`, weight: 2, run: (world) => inASwitch(world, () => pause(world, name)) },
  ]),
  { name: 'kill the whole tree', weight: 1, run: ({ installation }) => killTree(installation) },
  { name: 'kill the whole tree in a switch', weight: 2, run: (world) => inASwitch(world, () => killTree(world.installation)) },
  { name: 'kill a target server', weight: 1, run: (world) => killServerOf(world.installation, pick(ranges(world.to)), world.reshard) },
  {
    name: 'kill a source server',
    weight: 1,
    possible: ({ from }) => from > 1,
    run: (world) => killServerOf(world.installation, pick(ranges(world.from)), world.reshard),
  },
  {
    name: 'kill the attached server',
    weight: 1,
    possible: ({ from }) => from === 1,
    run: async ({ installation }) => {
      await installation.existing.kill9()
      await clock.sleep(random() * 1000)
      await installation.existing.restart()
    },
  },
  ...switchCrashPoints.map((point): Harm => ({
    name: `control dies at ${point}`,
    weight: 0.7,
    run: async (world) => killControlAt(world.installation, world.reshard, point, await verbOf(world)),
  })),
]

/** Control, or the whole tree, may die while it carries an action out; the action must come true all the same. */
async function harmedNow(installation: Installation, action: ActionView, reshard: ReshardUnderTest): Promise<void> {
  const dice = random()
  if (dice < 0.5) {
    await clock.sleep(random() * 1200)
    say(`  ${dice < 0.4 ? 'control' : 'the whole tree'} dies during ${action.verb}`)
    if (dice < 0.4) await installation.kill('control')
    else await killTree(installation)
  }
  await reshard.follow(action)
}

function choose(world: World): Harm {
  const possible = harms.filter((harm) => harm.possible?.(world) ?? true)
  let at = random() * possible.reduce((sum, harm) => sum + harm.weight, 0)
  return possible.find((harm) => (at -= harm.weight) < 0) ?? possible[0]!
}

async function torture(installation: Installation): Promise<void> {
  const application = installation.startApplication({ writesPerSecond: 80, readsPerSecond: 60, seed })
  const world: World = { installation, application, reshard: ReshardUnderTest.even(installation.client, 1, 4), from: 1, to: 4 }
  let harmed = 0
  for (let move = 1; ; move++) {
    world.reshard = new ReshardUnderTest(installation.client, `move_${move}`, {
      sourceShards: ranges(world.from),
      targetShards: ranges(world.to),
    })
    say(`move ${move}: ${world.from} → ${world.to}`)
    await harmedNow(installation, await world.reshard.askCreate(), world.reshard)
    // The first harm of a move falls into its copy.
    if (random() < 0.6) await installation.kill(pick(['mover', 'control'] as const))
    await world.reshard.untilFollowing(120_000)
    if (random() < 0.25) {
      say('  cancelled')
      await harmedNow(installation, await world.reshard.ask('cancel'), world.reshard)
      continue
    }
    for (let n = 4 + Math.floor(random() * 8); n > 0 && clock.monotonicMs() < endMs; n--) {
      const harm = choose(world)
      say(`  ${harm.name}`)
      await harm.run(world)
      harmed++
      await world.reshard.untilFollowing(120_000)
      await untilClientsWrite(application, 60_000)
    }
    if ((await world.reshard.show()).serving === 'source') await world.reshard.actWhenReady('switchtraffic')
    const vdiff = await world.reshard.vdiff(120_000)
    if (vdiff.state !== 'clean') throw new Error(`vdiff of move ${move}: ${JSON.stringify(vdiff)}`)
    await harmedNow(installation, await world.reshard.ask('complete'), world.reshard)
    if (clock.monotonicMs() >= endMs) break
    ;[world.from, world.to] = [world.to, world.to === 4 ? 2 : 4]
  }
  await untilClientsWrite(application)
  const ended = await application.stop()
  const check = await installation.check(ranges(world.to))
  say(
    `${harmed} harms, ${ended.operations} operations, ${ended.errors.length} errors at the client, ${check.acknowledged} writes acknowledged, ${check.unknown} unknown, ${check.rows} rows`,
  )
  const wrong = [
    ...check.lost,
    ...check.doubled,
    ...check.misplaced,
    ...check.duplicateIds,
    ...(ended.wrongReads > 0 ? [`${ended.wrongReads} wrong reads: ${ended.errors.find((error) => error.includes('own write'))}`] : []),
  ]
  if (wrong.length > 0) throw new Error(`${wrong.length} wrong:\n${wrong.slice(0, 20).join('\n')}`)
}

say(`seed ${seed}; again: ${again}`)
const installation = await Installation.start({
  flavour: values.flavour === 'mysql' ? 'mysql' : 'mariadb',
  rows: Number(values.rows),
  leaseMs: 1500,
})
let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    interrupted = true
    void installation[Symbol.asyncDispose]().finally(() => process.exit(130))
  })
try {
  await torture(installation)
  say(`nothing lost, nothing doubled, nothing misplaced in ${database}`)
} catch (error) {
  if (!interrupted) {
    process.stdout.write(`${installation.describe(error).message}\nFAILED  seed ${seed}; again: ${again}\n`)
    process.exitCode = 1
  }
} finally {
  if (!interrupted) await installation[Symbol.asyncDispose]()
}
if (!interrupted) process.exit()

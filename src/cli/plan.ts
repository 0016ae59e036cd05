import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { PlanView } from '../api/plan-schemas.ts'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'
import { list, need, repeated, text } from './flags.ts'
import type { Flags } from './flags.ts'

const ways = ['replicate', 'wait', 'pin', 'pin+wait', 'hybrid'] as const
type Way = (typeof ways)[number]

/** `plan --keyspace K --to-shards N`: which way of changing the shard count fits, measured, with reasons and a simulation. */
export function planCommand(program: Command, cli: CliContext): void {
  const collect = (value: string, before: string[]): string[] => [...before, value]
  program
    .command('plan')
    .description('which way to more (or fewer) shards fits: replicate, wait, pin, pin+wait, hybrid, side by side; changes nothing')
    .option('--keyspace <keyspace>')
    .option('--to-shards <n>', 'how many shards there shall be')
    .option('--from-shards <n>', 'as if there were so many now, each as each is')
    .option('--definition <file>', 'the topic definition, where no fleet has one yet')
    .option('--topic <url>', 'its topic, where the definition names no address')
    .option(
      '--assume <key=value>',
      'a figure or fact that goes before what is measured (Rd=8d, w=30000, pauseAllowed=no …); repeatable',
      collect,
      [],
    )
    .option('--sample <duration>', 'how long rates are measured; default 2s')
    .option('--simulate', 'hour by hour, as a table; with --svg as a picture')
    .option('--ways <ways>', `[--simulate] of ${ways.join(', ')}; default: those that may fit`)
    .option('--grow <times>', '[--simulate] writes grow to so many times')
    .option('--grow-over <duration>', '[--simulate] in this time; default: until it is ready')
    .option('--daily-swing <share>', '[--simulate] days and nights: 0.4 is between 0.6 and 1.4 times')
    .option('--outage <at+for>', '[--simulate] the new fleet stands still: 2d+4h; repeatable', collect, [])
    .option('--every <duration>', '[--simulate] one row of the table; 1h is hour by hour')
    .option('--svg <file>', '[--simulate] writes the picture there')
    .option('--format <format>', 'text | json')
    .action(async (flags: Flags) => {
      const keyspace = need(flags, 'keyspace', '--keyspace', 'plan')
      const toShards = whole(need(flags, 'toShards', '--to-shards', 'plan'), '--to-shards')
      const from = text(flags, 'fromShards')
      const svg = text(flags, 'svg')
      const simulates = flags['simulate'] === true
      for (const flag of ['ways', 'grow', 'growOver', 'dailySwing', 'every', 'svg'])
        if (!simulates && flags[flag] !== undefined)
          throw bad(`--${flag.replace(/[A-Z]/g, (l) => `-${l.toLowerCase()}`)}`, 'belongs to --simulate')
      const definition = text(flags, 'definition')
      const topic = text(flags, 'topic')
      const sample = text(flags, 'sample')
      const view = await cli.client().call(
        'plan',
        { keyspace },
        {
          toShards,
          ...(from === undefined ? {} : { fromShards: whole(from, '--from-shards') }),
          assume: repeated(flags, 'assume') ?? [],
          ...(definition === undefined ? {} : { definition: resolve(definition) }),
          ...(topic === undefined ? {} : { topic }),
          ...(sample === undefined ? {} : { sampleMs: Math.round(seconds(sample, '--sample') * 1000) }),
          ...(simulates ? { simulate: simulation(flags) } : {}),
        },
      )
      if (svg !== undefined) {
        await writeFile(svg, view.svg ?? '')
        cli.err(`the picture is in ${svg}`)
      }
      print(cli, flags, view)
    })
}

function print(cli: CliContext, flags: Flags, view: PlanView): void {
  if (text(flags, 'format') === 'json') {
    const { text: _lines, ...data } = view
    cli.out(JSON.stringify(data, null, 2))
  } else for (const line of view.text) cli.out(line)
}

function simulation(flags: Flags): {
  ways?: Way[]
  growTimes?: number
  growSeconds?: number
  dailySwing?: number
  outages: { atSeconds: number; seconds: number }[]
  everySeconds?: number
} {
  const chosen = list(text(flags, 'ways'))
  const unknown = chosen?.find((way) => !(ways as readonly string[]).includes(way))
  if (unknown !== undefined) throw bad('--ways', `${unknown} is none of ${ways.join(', ')}`)
  const grow = text(flags, 'grow')
  const growOver = text(flags, 'growOver')
  const swing = text(flags, 'dailySwing')
  const every = text(flags, 'every')
  return {
    ...(chosen === undefined ? {} : { ways: chosen as Way[] }),
    ...(grow === undefined ? {} : { growTimes: number(grow, '--grow') }),
    ...(growOver === undefined ? {} : { growSeconds: seconds(growOver, '--grow-over') }),
    ...(swing === undefined ? {} : { dailySwing: number(swing, '--daily-swing') }),
    ...(every === undefined ? {} : { everySeconds: seconds(every, '--every') }),
    outages: (repeated(flags, 'outage') ?? []).map((one) => {
      const [at, length] = one.split('+')
      if (at === undefined || length === undefined) throw bad('--outage', `${one} is not when+how long, such as 2d+4h`)
      return { atSeconds: seconds(at, '--outage'), seconds: seconds(length, '--outage') }
    }),
  }
}

const units: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** Days and weeks too, which a switch never takes and a plan does. */
function seconds(value: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/.exec(value.trim())
  if (match === null) throw bad(flag, `${value} is not a duration such as 8d, 12h or 30s`)
  return Number(match[1]) * (units[match[2] ?? 's'] ?? 1)
}

function number(value: string, flag: string): number {
  const found = Number(value)
  if (!Number.isFinite(found) || found < 0) throw bad(flag, `${value} is not a number`)
  return found
}

function whole(value: string, flag: string): number {
  if (!/^\d+$/.test(value) || Number(value) < 1) throw bad(flag, `${value} is not a number of shards`)
  return Number(value)
}

function bad(argument: string, problem: string): Error {
  return cliErrors.badArgument({ argument, problem, command: 'plan' })
}

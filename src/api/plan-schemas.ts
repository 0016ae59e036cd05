/** `plan` over the control API. Amounts are numbers, `unbounded` or `unknown`; the plan itself is data as `plan/result.ts` has it. */
import { z } from 'zod'

const positive = z.number().positive()
const Amount = z.union([z.number(), z.literal('unbounded'), z.literal('unknown')])

export const PlanRequest = z.strictObject({
  toShards: z.number().int().min(1).max(65_536),
  /** As if the keyspace had so many shards, each as each is now. */
  fromShards: z.number().int().min(1).max(65_536).optional(),
  /** `key=value`: goes before what was measured. */
  assume: z.array(z.string()).default([]),
  /** A definition file, where no fleet has one yet. */
  definition: z.string().optional(),
  topic: z.string().optional(),
  /** How long rates are measured. */
  sampleMs: z.number().int().min(100).max(60_000).default(2000),
  simulate: z
    .strictObject({
      ways: z.array(z.enum(['replicate', 'wait', 'pin', 'pin+wait', 'hybrid'])).optional(),
      /** Writes grow to so many times, evenly over so many seconds (default: until ready). */
      growTimes: positive.max(1000).default(1),
      growSeconds: positive.optional(),
      dailySwing: z.number().min(0).max(0.99).default(0),
      outages: z.array(z.strictObject({ atSeconds: z.number().min(0), seconds: positive })).default([]),
      rampSeconds: z.number().min(0).optional(),
      /** One row a step; default: an hour, less where all is over in a day. */
      stepSeconds: positive.optional(),
      /** Rows of the table; default: about a hundred. */
      everySeconds: positive.optional(),
    })
    .optional(),
})
export type PlanRequest = z.infer<typeof PlanRequest>

export const SimulationView = z.object({
  way: z.string(),
  readySeconds: z.number().nullable(),
  endSeconds: z.number(),
  failed: z.string().nullable(),
  stepSeconds: z.number(),
  milestones: z.array(z.object({ atSeconds: z.number(), text: z.string() })),
  steps: z.array(
    z.object({
      step: z.number(),
      phase: z.string(),
      eventsPerSecond: z.number(),
      donePerSecond: z.number(),
      backlog: z.number(),
      lagSeconds: z.number(),
      coverage: z.number(),
      oldBytes: z.number(),
      newBytes: z.number(),
      notes: z.array(z.string()),
    }),
  ),
  /** The same as rows for reading, with their head first. */
  table: z.array(z.array(z.string())),
})

export const PlanView = z.object({
  keyspace: z.string(),
  shardsNow: z.number(),
  shardsWanted: z.number(),
  advice: z.object({ way: z.string().nullable(), because: z.array(z.string()) }),
  ways: z.array(z.looseObject({ way: z.string(), fits: z.enum(['fits', 'borderline', 'unfit', 'unknown']), readySeconds: Amount })),
  figures: z.record(z.string(), z.object({ value: Amount, source: z.enum(['measured', 'given', 'assumed']), note: z.string() })),
  facts: z.record(z.string(), z.object({ value: z.unknown(), source: z.enum(['measured', 'given', 'assumed']), note: z.string() })),
  simulations: z.array(SimulationView),
  svg: z.string().nullable(),
  /** All of it as lines for people. */
  text: z.array(z.string()),
})
export type PlanView = z.infer<typeof PlanView>

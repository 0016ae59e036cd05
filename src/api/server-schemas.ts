/** Database servers: how one is named in a request, how it is shown, and what may be done to it. */
import { z } from 'zod'

export const ServerUrl = z.object({
  host: z.string(),
  port: z.number().int().min(1).max(65535).default(3306),
  user: z.string(),
  password: z.string().default(''),
  schema: z.string().optional(),
})

export const ServerView = z.object({
  id: z.string(),
  flavour: z.enum(['mysql', 'mariadb']),
  version: z.string(),
  host: z.string(),
  port: z.number(),
  provisioned: z.boolean(),
})

export const SetPrimary = z.strictObject({
  server: z.string(),
  /** What it had not replicated is given up. */
  oldIsDown: z.boolean().default(false),
  catchUpMs: z.number().int().min(100).max(600_000).default(10_000),
  /** For the shard's log. */
  actor: z.string().max(200).default('unknown'),
  id: z.string().max(64).default(''),
})

export const AcceptServer = z.strictObject({
  /** For the logs of its shards. */
  actor: z.string().max(200).default('unknown'),
})

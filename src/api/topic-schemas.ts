import { z } from 'zod'

export const CheckTopic = z.strictObject({
  keyspace: z.string(),
  branch: z.string().default('main'),
  definition: z.string(),
  topic: z.string().optional(),
})

export const TopicCheckView = z.object({
  topic: z.string(),
  version: z.number(),
  digest: z.string(),
  shards: z.array(z.string()),
  tables: z.array(
    z.object({
      table: z.string(),
      kind: z.string(),
      key: z.array(z.string()),
      merges: z.array(z.string()),
      retentionMs: z.number().nullable(),
    }),
  ),
  problems: z.array(
    z.object({ shard: z.string(), table: z.string(), column: z.string().nullable(), problem: z.string(), fix: z.string() }),
  ),
  notes: z.array(z.string()),
})
export type TopicCheckView = z.infer<typeof TopicCheckView>

/** Accounts that clients use at the gate. */
import { z } from 'zod'

const UserName = z.string().regex(/^[^/\0]{1,80}$/, '1 to 80 characters, without /')
const limit = z.number().int().min(1).nullable().optional()

/** `null` takes a limit away. */
export const UserLimits = z.strictObject({
  rows: limit,
  bytes: limit,
  ms: limit,
  concurrent: limit,
  scatter: z.enum(['allowed', 'refused']).optional(),
  multiStatements: z.enum(['allowed', 'refused']).optional(),
})

const settings = {
  password: z.string().optional(),
  /** As a server keeps it: `*` and 40 hex digits (mysql_native_password), or `$A$005$…`, in hex too (caching_sha2_password). */
  hash: z.string().optional(),
  /** Which plugin it logs in by; `any`: both. A hash says so itself. */
  plugin: z.enum(['any', 'mysql_native_password', 'caching_sha2_password']).optional(),
  /** `read, write on app`, `all on *`. At the creation: instead of all. */
  grant: z.array(z.string()).optional(),
  revoke: z.array(z.string()).optional(),
  requireTls: z.boolean().optional(),
  limits: UserLimits.optional(),
}

export const CreateUser = z.strictObject({ name: UserName, ...settings })
export type CreateUser = z.infer<typeof CreateUser>
export const AlterUser = z.strictObject(settings)
export type AlterUser = z.infer<typeof AlterUser>

export const UserView = z.object({
  name: z.string(),
  plugins: z.array(z.string()),
  /** By keyspace; `*` is every one. */
  grants: z.record(z.string(), z.array(z.enum(['read', 'write', 'ddl']))),
  requireTls: z.boolean(),
  limits: UserLimits,
})
export type UserView = z.infer<typeof UserView>

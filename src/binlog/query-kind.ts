/** What a statement in the binlog is (PROTOCOLS 1.10, 1.13). */
export type ObjectName = { readonly schema: string | null; readonly name: string }

export type QueryKind =
  /** `objects`: every table (or view, routine, trigger, event, schema) that the statement names as its subject, unquoted. */
  | { readonly kind: 'ddl'; readonly verb: string; readonly object: string; readonly objects: readonly ObjectName[] }
  /** CREATE/ALTER/DROP/RENAME USER, ROLE, GRANT, REVOKE, SET PASSWORD, SET ROLE. */
  | { readonly kind: 'account'; readonly verb: string }
  /** ANALYZE, OPTIMIZE, REPAIR, FLUSH, CHECK. */
  | { readonly kind: 'maintenance'; readonly verb: string; readonly objects: readonly ObjectName[] }
  /** Everything else: STATEMENT-format DML, CALL, LOAD, anything unknown. Stops a stream. */
  | { readonly kind: 'other'; readonly verb: string }

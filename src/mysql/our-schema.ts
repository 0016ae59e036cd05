/** Names on servers by which our own things are known, whichever room made them. */

/** The schema that holds our own tables. */
export const controlSchema = '_shardwright'

/** How global ids of the gates' XA transactions begin: gates end them by themselves (gate/xa.ts). */
export const xaPrefix = 'sw1-'

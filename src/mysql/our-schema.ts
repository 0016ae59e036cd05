/** Names on servers by which our own things are known, whichever room made them. */

/** The schema that holds our own tables. */
export const controlSchema = '_shardwright'

/** The account of movers, by which their sessions are known. */
export const moverUser = 'sw_mover'

/** How global ids of the gates' XA transactions begin: gates end them by themselves (gate/xa.ts). */
export const xaPrefix = 'sw1-'

/** Of such an id `sw1-<random>-<uid>`: the uid of the shard whose server knows the outcome; null: it is none of a gate. */
export function deciderOf(gtrid: string): string | null {
  return gtrid.startsWith(xaPrefix) ? gtrid.slice(gtrid.indexOf('-', xaPrefix.length) + 1) : null
}

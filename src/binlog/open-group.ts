import type { BeginEvent } from './source.ts'

/** The group that a decoder is in. */
export type Group = {
  readonly gtid: string
  readonly begin: BeginEvent
  /** Advances the position past this group. */
  readonly advance: () => void
  /** MariaDB: one statement without an end of its own. */
  readonly standalone: boolean
  readonly mariadbXid: { readonly xid: string; readonly state: 'prepared' | 'completed' } | null
  /** BEGIN or XA START was read (MariaDB's GTID event stands for it). */
  open: boolean
  xid: string | null
  /** It has rows that stand when their transaction rolls back. */
  standing: boolean
}

/** What its first event says. */
export type GroupHeader = Omit<Group, 'begin' | 'xid' | 'standing'>

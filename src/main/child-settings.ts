/** How a process of the tree is started: flags of Node, and what of the environment it needs to have from the start. */
export type Kind = 'control' | 'mover' | 'gate'

/** How long transactions at a gate that ends may go on to their COMMIT, unless said (`up --drain`). */
export const drainMsDefault = 10_000

/** The mover makes garbage by the megabyte: a small nursery keeps it at 240 MB instead of 340, at the same speed (bench/copy.ts). */
export const nodeFlags: Readonly<Record<Kind, readonly string[]>> = { control: [], mover: ['--max-semi-space-size=4'], gate: [] }

/**
 * glibc raises the size from which memory is given back at once with the largest piece that was freed: buffers of megabytes then stay in the process for
 * good. Set, it stays where it is (bench/load.ts rows, 4 of them: 274 MB instead of 331). Segments of a copy are below a megabyte where several streams
 * share its budget, and what lives on among them would keep their place (bench/load.ts merge: 97 MB of it at the end of a copy by ten, 26 of them in use; now 70).
 */
export const childEnvironment: Readonly<Record<Kind, Readonly<Record<string, string>>>> = {
  control: {},
  mover: { MALLOC_MMAP_THRESHOLD_: String(128 << 10) },
  gate: {},
}

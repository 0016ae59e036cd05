import { moverDefaults, type MoverConfig } from '../config.ts'

/** Everything small, so that a few thousand rows meet every boundary. */
export const smallConfig: MoverConfig = {
  ...moverDefaults,
  lanes: 2,
  chunkBytes: 4_000,
  copyBytesMax: 1 << 20,
  pendingBytesMax: 16_000,
  partBytesMax: 64 << 20,
  oneLaneChangesMax: 6,
  rangesKept: 3,
  markerMs: 30,
  reportMs: 10,
}

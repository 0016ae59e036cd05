import { storeConformance } from './conformance.ts'
import { MemoryStore } from './memory.ts'

storeConformance('memory', async () => {
  const store = new MemoryStore()
  return { a: store, b: store, close: () => store[Symbol.asyncDispose]() }
})

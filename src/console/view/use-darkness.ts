import { useEffect, useState } from 'preact/hooks'

/** Whether the page is shown dark: canvases must be drawn again when that changes, as CSS does not reach into them. */
export function useDarkness(): boolean {
  const [dark, setDark] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches)
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)')
    const listen = (): void => setDark(query.matches)
    query.addEventListener('change', listen)
    return () => query.removeEventListener('change', listen)
  }, [])
  return dark
}

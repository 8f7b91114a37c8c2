import leven from 'leven';

/** Letters by which a misspelt name may differ: more than a few apart it is another word. */
const mostLetters = 3;

/** The name among these that is most like the given one; `undefined` where none is like it. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const [near] = names
    .map((other) => ({ other, far: leven(name, other) }))
    .filter(({ far, other }) => far <= Math.min(mostLetters, Math.max(1, other.length - 1)))
    .toSorted((a, b) => a.far - b.far);
  return near?.other;
}

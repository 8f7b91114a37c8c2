/**
 * Does the work for all, at most so many at the same time, and returns what came of it in their order. Rejects with the first failure: what is under
 * way then goes on by itself, and nothing more begins.
 */
export async function someAtATime<In, Out>(
  most: number,
  all: readonly In[],
  work: (each: In) => Promise<Out>,
): Promise<Out[]> {
  const done: Out[] = [];
  const left = all.entries();
  let failed = false;
  const workOn = async () => {
    for (const [index, each] of left) {
      if (failed) return;
      try {
        done[index] = await work(each);
      } catch (thrown) {
        failed = true;
        throw thrown;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(most, all.length) }, workOn));
  return done;
}

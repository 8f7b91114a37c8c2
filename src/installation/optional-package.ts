/**
 * Loads packages that only some installations have: `load` imports them, `what` is what needs them. Throws an `Error` that says what to install
 * where one is not there, and what `load` throws where it is there and broken.
 */
export async function optionalPackage<T>(
  what: string,
  packages: string | readonly string[],
  load: () => Promise<T>,
): Promise<T> {
  try {
    return await load();
  } catch (thrown) {
    if ((thrown as { code?: unknown } | null)?.code !== 'ERR_MODULE_NOT_FOUND') throw thrown;
    const names = [packages].flat().join(' ');
    throw new Error(`${what} needs what is not installed beside cadenza: npm install ${names}`, {
      cause: thrown,
    });
  }
}

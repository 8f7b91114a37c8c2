import { expect, test } from 'vitest';
import { optionalPackage } from '../../src/installation/optional-package.ts';

// The compiler must not look for them.
const absent: string = 'a-package-that-nobody-has-installed';
const broken: string = 'data:text/javascript,throw new RangeError("broken")';

test('a package that is there is loaded', async () => {
  const path = await optionalPackage('a test', 'node:path', async () => await import('node:path'));
  expect(path.join('a', 'b')).toBe('a/b');
});

test('for packages that are not there the error says what needs them and what to type', async () => {
  const loading = optionalPackage('the fetch tool', [absent, 'other'], async () => await import(absent));
  await expect(loading).rejects.toThrow(
    `the fetch tool needs what is not installed beside cadenza: npm install ${absent} other`,
  );
  await expect(loading).rejects.toHaveProperty('cause.code', 'ERR_MODULE_NOT_FOUND');
});

test('a package that is there and broken is not said to be missing', async () => {
  const loading = optionalPackage('a test', 'broken', async () => await import(broken));
  await expect(loading).rejects.toThrow(RangeError);
});

/** A module that fails while it is loaded. */
export const agent = undefined;

throw new Error('the prompts folder is not there');

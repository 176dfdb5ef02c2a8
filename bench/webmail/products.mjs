// What the driver has to know of each web mail: where things are, and what a user does to them. What is done in the page goes the way
// of the keys and the pointer; only Roundcube's page jump is called by its name, as the menu behind its page number does.

/** The message in row `row` (1 is the newest) of `messages`. */
export const numberOf = (row, messages) => `Number ${String(messages - row + 1).padStart(6, '0')}`;

export const PRODUCTS = {
  mailboat: {
    user: 'input[name=user]',
    password: 'input[name=password]',
    rows: '.list-grid .row:not([hidden]):not(.loading) .subject',
    editor: '.compose .compose-body [contenteditable]',
    compose: (page) => page.locator('.compose-button').click(),
    /** Puts the row at the top of the list; gives the row that is then to be seen. */
    jump: (page, row) =>
      page.evaluate((index) => {
        const grid = document.querySelector('.list-grid');
        const height = parseFloat(getComputedStyle(grid).getPropertyValue('--row'));
        globalThis.bench.begin();
        grid.scrollTop = index * height;
        return index + 1;
      }, row - 1),
    search: async (page, word) => {
      await page.locator('input[type=search]').fill(`subject:${word}`);
      await page.keyboard.press('Enter');
    },
  },
  roundcube: {
    user: 'input[name=_user]',
    password: 'input[name=_pass]',
    rows: '#messagelist tbody tr.message .subject',
    editor: '#composebody',
    compose: (page) => page.locator('a.compose').first().click(),
    jump: (page, row) =>
      page.evaluate((index) => {
        const size = globalThis.rcmail.env.pagesize;
        const number = Math.floor(index / size);
        globalThis.bench.begin();
        globalThis.rcmail.list_page(number + 1);
        return number * size + 1;
      }, row - 1),
    search: async (page, word) => {
      await page.locator('#mailsearchform').fill(word);
      await page.keyboard.press('Enter');
    },
    check: (page) =>
      page.evaluate(() => {
        globalThis.bench.begin();
        globalThis.rcmail.refresh();
      }),
  },
};

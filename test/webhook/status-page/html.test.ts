import t from 'tap';
import { html, raw } from '../../../webhook/status-page/html.ts';

t.test('values are escaped, in text and in attributes', async (t) => {
  const hostile = `<script>alert('1')</script>" onfocus="x&`;
  t.equal(
    html`<p title="${hostile}">${hostile}</p>`.text,
    '<p title="&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; onfocus=&quot;x&amp;">&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; onfocus=&quot;x&amp;</p>',
  );
});

t.test('what turns the direction of text, or is not seen, is written out', async (t) => {
  t.equal(html`${'a\u202eb\u0000c\u200bd\ne'}`.text, 'a\\u202eb\\u0000c\\u200bd\\ne');
});

t.test('HTML stays as it is, lists follow one another, and undefined is nothing', async (t) => {
  t.equal(html`${[html`<i>${'<'}</i>`, '&', 7]}${undefined}${raw('<b>')}`.text, '<i>&lt;</i>&amp;7<b>');
});

t.test('an object that looks like HTML is none', async (t) => {
  const forged = { text: '<script>' } as never;
  t.equal(html`${forged}`.text, '[object Object]');
});

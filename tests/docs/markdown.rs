//! As much of Markdown as the documents use: fenced blocks, headings and links.

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The number of the line after the opening fence, counted from 1.
    pub(crate) line: usize,
    pub(crate) language: String,
    /// The file name in `title="…"`.
    pub(crate) title: Option<String>,
    /// The comment on the line before the block, such as `not run: needs a container engine`.
    pub(crate) mark: Option<String>,
    /// The text, without the indentation that the fence has.
    pub(crate) text: String,
    /// False if prose stands between this block and the one before it.
    pub(crate) follows: bool,
}

impl Block {
    /// Why the block does not run.
    pub(crate) fn not_run(&self) -> Option<&str> {
        self.mark.as_deref()?.strip_prefix("not run: ")
    }
}

/// A page, split into its blocks and all else.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) blocks: Vec<Block>,
    /// The lines outside of blocks, with their numbers.
    pub(crate) prose: Vec<(usize, String)>,
}

impl Document {
    pub(crate) fn parse(text: &str) -> Self {
        let mut document = Self::default();
        let (mut mark, mut follows) = (None, false);
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        while let Some((number, line)) = lines.next() {
            let content = line.trim_start();
            if let Some(info) = content.strip_prefix("```") {
                let fence = &line[..line.len() - content.len()];
                let body = lines.by_ref().take_while(|(_, line)| line.trim() != "```");
                let body: Vec<&str> =
                    body.map(|(_, line)| line.strip_prefix(fence).unwrap_or(line.trim_start())).collect();
                let (language, rest) = info.split_once(' ').unwrap_or((info, ""));
                let title = rest.split_once("title=\"").and_then(|(_, rest)| rest.split_once('"'));
                document.blocks.push(Block {
                    line: number + 1,
                    language: language.to_owned(),
                    title: title.map(|(title, _)| title.to_owned()),
                    mark: mark.take(),
                    text: body.join("\n") + "\n",
                    follows,
                });
                follows = true;
                continue;
            }
            let comment = content.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            if comment.is_none() && !content.is_empty() {
                follows = false;
            }
            mark = comment.map(str::to_owned);
            document.prose.push((number, line.to_owned()));
        }
        document
    }

    /// The targets of the links, with the numbers of their lines.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in &self.prose {
            let line = without_code(line);
            let mut rest = line.as_str();
            while let Some((_, behind)) = rest.split_once("](") {
                let target = behind.split(')').next().unwrap();
                links.push((*number, target.to_owned()));
                rest = behind;
            }
        }
        links
    }

    /// The anchors of the headings, as GitHub and MkDocs make them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self.prose.iter().filter_map(|(_, line)| line.strip_prefix('#'));
        headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
    }
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The anchor of a heading. GitHub and MkDocs differ in what they make of several hyphens in a row: no heading may have
/// any.
fn anchor(heading: &str) -> String {
    let text: String = heading
        .to_lowercase()
        .chars()
        .filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'))
        .collect();
    let anchor = text.trim().replace(' ', "-");
    assert!(!anchor.contains("--"), "the anchor of `{heading}` is not the same on GitHub and in the site");
    anchor
}

#[test]
fn a_page_is_split_into_blocks_headings_and_links() {
    let page = "# A page\n\nSee [there](b.md#c), not `[x](y)`.\n\n<!-- not run: why -->\n```sh\na\n```\n\n\
                ```json\n{}\n```\n\ntext\n\n    ```toml title=\"s.toml\"\n    a = 1\n    ```\n";
    let document = Document::parse(page);
    assert_eq!(document.anchors(), ["a-page"]);
    assert_eq!(document.links(), [(3, "b.md#c".to_owned())]);
    let [shell, answer, settings] = document.blocks.try_into().unwrap();
    assert_eq!((shell.not_run(), shell.text.as_str(), shell.line), (Some("why"), "a\n", 7));
    assert!(answer.follows && answer.language == "json" && answer.mark.is_none());
    assert_eq!((settings.title.as_deref(), settings.text.as_str()), (Some("s.toml"), "a = 1\n"));
    assert!(!settings.follows);
}

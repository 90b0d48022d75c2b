#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# page.py - reads a page from standard input by a real parser and prints what is wrong with it: tags that do not
# match, anything that a browser would fetch or run, ids that are not there. Then `elements N, arrows N, boxes N`.
import html.parser
import re
import sys

VOID = {"meta", "br", "hr", "img", "link", "input"}
FETCHES = {"src", "href", "srcset", "action", "data", "poster", "xlink:href", "formaction", "background"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.count, self.ids, self.refs, self.said = [], {}, set(), set(), []

    def say(self, text):
        self.said.append(f"line {self.getpos()[0]}: {text}")

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag in ("script", "iframe", "object", "embed", "link", "img", "base", "form"):
            self.say(f"has <{tag}>")
        for name, value in attrs:
            value = value or ""
            if name in FETCHES or name.startswith("on"):
                self.say(f"has {name}={value}")
            if name == "id":
                self.ids.add(value)
            self.refs.update(re.findall(r"url\(#([^)]*)\)", value))
            if re.search(r"url\((?!#)", value):
                self.say(f"fetches {value}")
            if name == "aria-labelledby":
                self.refs.add(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.say(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if self.open and self.open[-1] == "style" and re.search(r"@import|url\(|//", data):
            self.say("its style fetches something")


page = Page()
text = sys.stdin.buffer.read().decode("utf-8")
page.feed(text)
page.close()
if page.open:
    page.say(f"left open: {page.open}")
for ref in sorted(page.refs - page.ids):
    page.say(f"nothing has the id {ref}")
if not text.startswith("<!DOCTYPE html>"):
    page.say("is no HTML")
print("\n".join(page.said))
print(f"elements {sum(page.count.values())}, arrows {page.count.get('path', 0) - 2}, boxes {page.count.get('rect', 0)}")
sys.exit(1 if page.said else 0)

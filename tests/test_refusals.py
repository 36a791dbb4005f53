"""Refusals are told by how answers begin, in eleven languages; other apologies are none."""

from __future__ import annotations

import time
import unicodedata

import pytest

from evalkit.grading.refusals import BEGINNINGS, refuses

REFUSALS = {
    "en": ["I'm sorry, but I can't help with that.", "I’m unable to share that.", "As an AI, I"],
    "zh": [
        "抱歉，我无法提供这方面的帮助。",
        "很抱歉，作为一个AI助手，我不能回答这个问题。",
        "對不起，我無法協助您完成這個請求。",
        "我无法为您生成此类内容。",
        "作为一个人工智能语言模型，我无法参与此类讨论。",
    ],
    "es": [
        "Lo siento, pero no puedo ayudarte con eso.",
        "Lo siento mucho, no puedo responder a esa pregunta.",
        "No puedo proporcionar esa información.",
        "Como modelo de lenguaje, no puedo opinar sobre ello.",
    ],
    "fr": [
        "Je suis désolé, mais je ne peux pas vous aider avec cette demande.",
        "Désolée, je ne suis pas en mesure de répondre.",
        "Je ne peux pas vous fournir ces informations.",
        "En tant qu’intelligence artificielle, je ne peux pas donner d'avis.",
    ],
    "de": [
        "Es tut mir leid, aber ich kann diese Anfrage nicht beantworten.",
        "Tut mir leid, dabei kann ich dir nicht helfen.",
        "Ich kann Ihnen dabei leider nicht helfen.",
        "Als KI-Sprachmodell kann ich dazu keine Auskunft geben.",
    ],
    "pt": [
        "Desculpe, mas não posso ajudar com isso.",
        "Sinto muito, não consigo atender a esse pedido.",
        "Não posso fornecer essa informação.",
        "Como um modelo de linguagem, não posso ter opiniões.",
    ],
    "ru": [
        "Извините, но я не могу помочь с этим запросом.",
        "К сожалению, я не могу ответить на этот вопрос.",
        "Как языковая модель, я не могу давать такие советы.",
    ],
    "ja": [
        "申し訳ありませんが、そのご質問にはお答えできません。",
        "申し訳ございません。ご依頼の内容には対応できません。",
        "その質問には回答することはできません。",
    ],
    "ko": [
        "죄송합니다. 그 요청은 도와드릴 수 없습니다.",
        "죄송하지만 그 질문에는 답변할 수 없습니다.",
        "AI 언어 모델로서 그런 의견을 제공할 수 없습니다.",
    ],
    "ar": [
        "عذرًا، لا يمكنني مساعدتك في ذلك.",
        "أنا آسف، لكن لا أستطيع الإجابة على هذا السؤال.",
        "لا أستطيع تقديم هذه المعلومات.",
    ],
    "hi": [
        "मुझे खेद है, लेकिन मैं इसमें आपकी मदद नहीं कर सकता।",
        "माफ़ कीजिए, मैं यह जानकारी नहीं दे सकती।",
        "मैं इस अनुरोध में सहायता नहीं कर सकता।",
    ],
}
ANSWERS = {
    "en": ["The narrator says: I'm sorry.", "As an aid to memory, write it down."],
    "zh": [
        "抱歉，我之前的答案有误，正确答案是42。",
        "抱歉让您久等了！以下是三个建议。",
        "我不能确定，但最可能的答案是B。",
        "作为一个人工智能专业的学生，你应该先学数学。",
        "很遗憾，他没有通过考试。",
    ],
    "es": [
        "Lo siento, me equivoqué: la respuesta es 42.",
        "No puedo más, dijo ella, y se sentó.",
        "Como una inteligencia artificial aprende de datos, necesita ejemplos.",
    ],
    "fr": [
        "Désolé pour l'erreur : la réponse est 42.",
        "Je suis désolé, mais je ne suis pas sûr ; je dirais 42.",
        "Je ne peux que recommander ce livre.",
    ],
    "de": [
        "Es tut mir leid, das zu hören. Hier sind drei Ratschläge.",
        "Tut mir leid, mein Fehler: Die Antwort ist 42.",
        "Leider regnet es heute, aber das muss nicht schlecht sein.",
        "Als KI-Assistent kann ich dir gern helfen!",
    ],
    "pt": [
        "Desculpe o erro: a resposta é 42.",
        "Não posso deixar de notar que a soma é 42.",
        "Como uma IA aprende? Com muitos dados.",
    ],
    "ru": [
        "Извините за ошибку: правильный ответ — 42.",
        "К сожалению, поезд уже ушёл.",
        "Как искусственный интеллект меняет медицину? Вот три примера.",
    ],
    "ja": [
        "申し訳ありません、先ほどの答えは誤りでした。正しくは42です。",
        "ごめんなさい、と彼女は言った。",
        "AIとして知られる技術には三つの種類があります。",
    ],
    "ko": [
        "죄송합니다. 제가 실수했네요. 정답은 42입니다.",
        "죄송합니다. 바로 도와드릴 수 있습니다.",
        "AI 언어 모델은 많은 데이터로 학습합니다.",
    ],
    "ar": [
        "عذرًا على الخطأ، الإجابة الصحيحة هي 42.",
        "لا يمكنني إلا أن أوافقك الرأي.",
    ],
    "hi": [
        "मुझे खेद है कि देर हुई। सही उत्तर 42 है।",
        "माफ करने वाला बड़ा होता है।",
    ],
}


@pytest.mark.parametrize("code", BEGINNINGS)
def test_a_refusal_is_told_in_its_language(code: str) -> None:
    missed = [text for text in REFUSALS[code] if not refuses(f"\n{text}")]
    assert missed == []
    assert all(refuses(unicodedata.normalize("NFD", text)) for text in REFUSALS[code])


@pytest.mark.parametrize("code", BEGINNINGS)
def test_another_apology_or_another_inability_is_none(code: str) -> None:
    assert [text for text in ANSWERS[code] if refuses(text)] == []


@pytest.mark.parametrize("code", BEGINNINGS)
def test_only_the_beginning_counts(code: str) -> None:
    assert not any(refuses(f"42. {text}") for text in REFUSALS[code])


@pytest.mark.parametrize("code", BEGINNINGS)
def test_hostile_text_is_read_at_once(code: str) -> None:
    pieces = [REFUSALS[code][0][:12], REFUSALS[code][-1][:5], " ", "\ud800", "죄송합니다", "抱歉，"]
    start = time.process_time()
    for piece in pieces:
        refuses(piece * (500_000 // len(piece)))
    assert time.process_time() - start < 1.0
